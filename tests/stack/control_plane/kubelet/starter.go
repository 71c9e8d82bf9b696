package kubelet

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// starter starts processes that the kernel kills with this one. It does so when the thread ends that started them: hence
// one that never ends.
type starter struct{ requests chan func() }

func newStarter() *starter {
	s := &starter{make(chan func())}
	go func() {
		runtime.LockOSThread()
		for request := range s.requests {
			request()
		}
	}()
	return s
}

// start starts a program in a process group of its own.
func (s *starter) start(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	s.requests <- func() { result <- command.Start() }
	return <-result
}

// killGroup kills a process and what it has started, as far as that stayed in its group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// killMarked kills all processes with a variable that begins so: those that have left their group, too.
func killMarked(variable string) {
	for _, pid := range pids() {
		environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err == nil && strings.Contains("\x00"+string(environment), "\x00"+variable) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// CleanUp does what a kubelet cannot do that was killed: it kills all processes of the pods of its directory.
func CleanUp(directory string) { killMarked(rootVariable + "=" + directory + "/") }

func pids() []int {
	entries, _ := os.ReadDir("/proc")
	found := make([]int, 0, len(entries))
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// memoryOf is what a process and its descendants have in memory (bytes).
func memoryOf(pid int) int64 {
	directory := filepath.Join("/proc", strconv.Itoa(pid))
	var total int64
	if text, err := os.ReadFile(filepath.Join(directory, "statm")); err == nil {
		if parts := strings.Fields(string(text)); len(parts) > 1 {
			pages, _ := strconv.ParseInt(parts[1], 10, 64)
			total = pages * int64(os.Getpagesize())
		}
	}
	tasks, _ := os.ReadDir(filepath.Join(directory, "task"))
	for _, task := range tasks {
		text, _ := os.ReadFile(filepath.Join(directory, "task", task.Name(), "children"))
		for _, child := range strings.Fields(string(text)) {
			if number, err := strconv.Atoi(child); err == nil {
				total += memoryOf(number)
			}
		}
	}
	return total
}
