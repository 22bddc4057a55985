"""Built-in domain `math`: short word problems answered by a worked solution that ends in `#### N`."""
