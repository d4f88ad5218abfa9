// Package carry holds tests only: whole agents and a real fleet carry volumes
// from node to node over mutual TLS, on lines that break and to agents that are
// restarted. The move of an instance, with the controller's database and API
// above it, is tested in controller/e2e.
package carry
