"""The controllers a development cluster needs: workloads, scheduling, and pods of lost nodes."""
