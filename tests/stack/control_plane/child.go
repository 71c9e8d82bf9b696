package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// errPortTaken says that somebody else has the port of the API server.
var errPortTaken = errors.New("the port of the API server is taken")

// apiServer is the process of the API server, of the controllers and of the scheduler.
type apiServer struct {
	command *exec.Cmd
	stdin   io.Closer
	ended   chan struct{}
}

func (c *cluster) apiServerOptions() apiServerOptions {
	return apiServerOptions{
		URL: c.url(), CAFile: c.file("ca.crt"), Certificate: c.file("admin.crt"), Key: c.file("admin.key"),
		Directory: c.directory,
		Args: append([]string{
			"--etcd-servers=" + c.etcdURL,
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.port),
			"--tls-cert-file=" + c.file("server.crt"),
			"--tls-private-key-file=" + c.file("server.key"),
			"--client-ca-file=" + c.file("ca.crt"),
			"--token-auth-file=" + c.file("tokens.csv"),
			"--authorization-mode=RBAC",
			"--service-cluster-ip-range=10.0.0.0/24",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + c.file("accounts.pub"),
			"--service-account-signing-key-file=" + c.file("accounts.key"),
			// As clusters have it in general: what forbids such pods is not the API server.
			"--allow-privileged=true",
			// This machine's own address is not one that may be published.
			"--endpoint-reconciler-type=none",
			"--kubelet-certificate-authority=" + c.file("ca.crt"),
			"--kubelet-client-certificate=" + c.file("kubelet-client.crt"),
			"--kubelet-client-key=" + c.file("kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP",
			"--profiling=false",
		}, c.options.APIServerArgs...),
	}
}

// startAPIServer starts the process and waits until all of it is ready.
func (c *cluster) startAPIServer(ctx context.Context) error {
	options, err := json.Marshal(c.apiServerOptions())
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	logName := c.file("api-server.log")
	log, err := os.OpenFile(logName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program, roleAPIServer, string(options))
	command.Stderr = log
	command.Env = append(os.Environ(), "GOGC="+gcPercent())
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return err
	}
	server := &apiServer{command, stdin, make(chan struct{})}
	c.server = server
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		_ = command.Wait()
		close(server.ended)
	}()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-server.ended:
		text, _ := os.ReadFile(logName)
		if strings.Contains(string(text), "address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("the API server ended early; its log ends with\n%s", text[max(0, len(text)-3000):])
	}
}

// stop kills the process, as a machine does that loses its power.
func (s *apiServer) stop() {
	if s == nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.stdin.Close()
	<-s.ended
}

func (s *apiServer) pid() int { return s.command.Process.Pid }

// gcPercent lets the memory grow a little before it is collected, unless it is said otherwise.
func gcPercent() string {
	if own := os.Getenv("GOGC"); own != "" {
		return own
	}
	return "200"
}

// memoryOf is what a process has in memory (bytes).
func memoryOf(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	parts := strings.Fields(string(text))
	if len(parts) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(parts[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
