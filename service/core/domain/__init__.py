"""What the service is about, as frozen values. Neither the wire's shapes nor the tables'."""
