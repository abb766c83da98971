"""The only importer of llama_cpp: owners with close() over its C API; C codes become errors. Knows no requests."""
