"""Records -> a static site that opens from the file system and asks the network for nothing."""
