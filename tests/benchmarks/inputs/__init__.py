"""What benchmarks read: countries, tables, offices and inspections made for them."""
