"""The API of the server: routes, their documents, and who may call them."""
