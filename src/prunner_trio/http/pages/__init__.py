"""The web page: rendered here, kept up to date by one event stream per page, usable without JavaScript.

`site.add_pages` puts it into the web application. What is below this package is imported with Quart, when something
first asks for it.
"""
