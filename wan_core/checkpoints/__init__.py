"""Reading and writing weights: headers, detection, strict loads, nano's own parts."""
