"""The coordinator: REST, durable state, scheduling, assembly."""
