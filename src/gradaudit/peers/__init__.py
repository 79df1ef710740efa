"""Other libraries beside gradaudit, each in a module that needs it: `gradaudit.peers.quantus`."""
