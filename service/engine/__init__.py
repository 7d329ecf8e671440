"""The process that owns a device: bases, adapters, one step loop. The only home of torch."""
