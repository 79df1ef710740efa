"""The instruments, a folder each; `contract` says what such a folder holds."""
