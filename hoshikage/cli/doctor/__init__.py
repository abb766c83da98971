"""What `hoshikage doctor` looks at: this machine, the files of the home, the network."""
