// Stands in for Deno's run-time where scripts/compile.sh is tested: a program of its platform, small, that does nothing.
package main

func main() {}
