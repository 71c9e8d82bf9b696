// Program control-plane is a Kubernetes cluster for tests: a real kube-apiserver, a real etcd, the real controllers of
// jobs and of what belongs to them, the real scheduler, and one node whose kubelet is a small one of ours, which runs
// pods as processes of this machine. README.md says what it can and what it cannot.
//
// It is driven by lines of JSON on standard input, answers with lines of JSON on standard output, and goes with
// everything it has started when standard input ends.
package main

import (
	"fmt"
	"os"
)

// Roles of the processes. The API server has one of its own, so that it can be killed and started again.
const (
	roleCluster   = "cluster"
	roleAPIServer = "api-server"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: control-plane cluster OPTIONS | api-server OPTIONS")
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case roleCluster:
		err = runCluster(os.Args[2])
	case roleAPIServer:
		err = runAPIServer(os.Args[2])
	default:
		err = fmt.Errorf("unknown role %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
