"""`python -m gradaudit`: the command line."""

from gradaudit.cli import main

if __name__ == "__main__":
    main()
