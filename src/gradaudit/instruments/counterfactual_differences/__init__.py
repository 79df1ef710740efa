"""The page's sections: one function in one file for each instrument, of the instrument's name."""
