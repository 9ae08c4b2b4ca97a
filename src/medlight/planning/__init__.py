"""From what is measured of a data set to settings that can be read, kept and changed."""
