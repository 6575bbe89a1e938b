// Nothing: the library of this name only leads to the one that has the functions.
