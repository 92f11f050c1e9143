"""Networks whose weights another network writes."""
