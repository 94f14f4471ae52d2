"""How figures grow with the size of what there is: the same work at ten, a hundred, a thousand and more."""
