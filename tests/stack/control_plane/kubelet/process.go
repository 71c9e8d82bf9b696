package kubelet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// How often it is looked whether a container has more memory than it may have.
	memoryPeriod = 200 * time.Millisecond
	// What is kept of a message that a container leaves, and of a log in place of one.
	messageBytes = 4096
	logBytes     = 2048
	logLines     = 80
	// Exit codes of processes that did not choose one.
	outOfMemory   = 137
	cannotStart   = 128
	signalledBase = 128
)

// build is a command with the variables and the directory of a container, found as inside of one.
func build(argv, environment []string, directory string) (*exec.Cmd, error) {
	path := argv[0]
	if !strings.Contains(path, "/") {
		for _, place := range filepath.SplitList(variable(environment, "PATH")) {
			candidate := filepath.Join(place, argv[0])
			if about, err := os.Stat(candidate); err == nil && !about.IsDir() && about.Mode()&0o111 != 0 {
				path = candidate
				break
			}
		}
		if path == argv[0] {
			return nil, fmt.Errorf("exec: %q: executable file not found in $PATH: unknown", argv[0])
		}
	} else if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("exec: %q: stat %s: no such file or directory: unknown", path, path)
	}
	return &exec.Cmd{Path: path, Args: argv, Env: environment, Dir: directory}, nil
}

func variable(environment []string, name string) string {
	for _, one := range environment {
		if value, found := strings.CutPrefix(one, name+"="); found {
			return value
		}
	}
	return ""
}

// once starts the process and waits for its end, or ends it with ctx. It gives its exit code.
func (c *container) once(ctx context.Context, argv, environment []string) int32 {
	book := newLogBook()
	started := metav1.Now()
	command, err := build(argv, environment, c.workingDirectory())
	if strings.HasPrefix(c.spec.Image, nothingThere) {
		err = fmt.Errorf("exec: %q: executable file not found in $PATH: unknown", argv[0])
	}
	if err == nil {
		err = c.start(command, book)
	}
	if err != nil {
		message := fmt.Sprintf("failed to create containerd task: failed to create shim task: OCI runtime create failed: "+
			"runc create failed: unable to start container process: error during container init: %v", err)
		c.event(corev1.EventTypeWarning, "Failed", "Error: %s", message)
		book.end()
		// A kubelet does not know when that was.
		c.finish(corev1.ContainerStateTerminated{ExitCode: cannotStart, Reason: "StartError", Message: message,
			StartedAt: metav1.Unix(0, 0), FinishedAt: metav1.Now()}, book)
		return cannotStart
	}
	gone := make(chan struct{})
	ended, end := context.WithCancel(context.Background())
	c.mutex.Lock()
	c.running, c.ended, c.outMemory = command, ended, false
	c.books = append(c.books, book)
	c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
	c.mutex.Unlock()
	c.event(corev1.EventTypeNormal, "Created", "Created container: %s", c.spec.Name)
	c.event(corev1.EventTypeNormal, "Started", "Started container %s", c.spec.Name)
	c.pod.report()

	go c.stopWith(ctx, command.Process, gone)
	if limit := c.spec.Resources.Limits.Memory(); limit != nil && !limit.IsZero() {
		go c.limitMemory(command.Process.Pid, limit.Value(), gone)
	}
	state, _ := command.Process.Wait()
	close(gone)
	// With its first process all others of a container go.
	killGroup(command.Process.Pid)
	killMarked(c.mark)
	end()
	c.commands.Wait()
	book.end()
	code := exitCode(state)
	terminated := corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: "Completed", StartedAt: started, FinishedAt: metav1.Now(),
		ContainerID: c.id(),
	}
	if code != 0 {
		terminated.Reason = "Error"
	}
	if c.wasOutOfMemory() {
		terminated.Reason, terminated.ExitCode = "OOMKilled", outOfMemory
	}
	terminated.Message = c.message(book, terminated.ExitCode)
	c.finish(terminated, book)
	return terminated.ExitCode
}

func (c *container) start(command *exec.Cmd, book *logBook) error {
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		return err
	}
	_ = os.Remove(c.messageFile())
	if err := c.pod.kubelet.starter.start(command); err != nil {
		return err
	}
	book.collect(stdout)
	book.collect(stderr)
	return nil
}

// stopWith ends the process when the pod is to end: politely first, and then when its time is up.
func (c *container) stopWith(ctx context.Context, process *os.Process, gone <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-gone:
		return
	}
	c.event(corev1.EventTypeNormal, "Killing", "Stopping container %s", c.spec.Name)
	_ = process.Signal(syscall.SIGTERM)
	select {
	case <-c.pod.killed:
		killGroup(process.Pid)
	case <-gone:
	}
}

func (c *container) limitMemory(pid int, limit int64, gone <-chan struct{}) {
	ticker := time.NewTicker(memoryPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-gone:
			return
		case <-ticker.C:
		}
		if memoryOf(pid) > limit {
			c.mutex.Lock()
			c.outMemory = true
			c.mutex.Unlock()
			killGroup(pid)
			return
		}
	}
}

func (c *container) wasOutOfMemory() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.outMemory
}

func (c *container) messageFile() string {
	path := c.spec.TerminationMessagePath
	if path == "" {
		path = corev1.TerminationMessagePathDefault
	}
	return filepath.Join(c.root, filepath.Clean("/"+path))
}

// message is what the container leaves about its end.
func (c *container) message(book *logBook, code int32) string {
	text, _ := os.ReadFile(c.messageFile())
	if len(text) > 0 {
		return string(text[max(0, len(text)-messageBytes):])
	}
	if code != 0 && c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		return book.tail(logLines, logBytes)
	}
	return ""
}

func exitCode(state *os.ProcessState) int {
	if state == nil {
		return outOfMemory
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalledBase + int(status.Signal())
	}
	return state.ExitCode()
}
