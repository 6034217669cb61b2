"""`python -m attrition`."""

from attrition.cli import main

if __name__ == "__main__":
    main()
