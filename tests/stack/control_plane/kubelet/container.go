package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

const (
	// How long something that is missing is waited for before it is looked for again.
	retryAfter = time.Second
	// The longest waiting of a container that crashes again and again.
	longestBackOff = 5 * time.Minute
)

// container is one container of a pod, through all its restarts.
type container struct {
	pod   *pod
	spec  corev1.Container
	init  bool
	image Image
	// root is a directory with links to its volumes, temporary a place for its own files.
	root, temporary string
	// mark is a variable by which its processes are found.
	mark string

	mutex       sync.Mutex
	state, last corev1.ContainerState
	restarts    int32
	books       []*logBook
	// running is there as long as the process is, and ended ends with it.
	running   *exec.Cmd
	ended     context.Context
	commands  sync.WaitGroup
	outMemory bool
}

func newContainer(owner *pod, spec corev1.Container, init bool) *container {
	reason := "ContainerCreating"
	if !init && len(owner.object.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	return &container{
		pod: owner, spec: spec, init: init, image: owner.kubelet.options.Images[spec.Image],
		mark:  fmt.Sprintf("TEST_KUBELET_CONTAINER=%s/%s/", owner.uid, spec.Name),
		state: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
	}
}

// run runs the container until it is not to be started again, or ctx ends. It says whether the last run succeeded.
func (c *container) run(ctx context.Context) bool {
	for {
		argv, environment, err := c.prepare(ctx)
		if err != nil {
			return false
		}
		code := c.once(ctx, argv, environment)
		if ctx.Err() != nil || !c.again(code) {
			return code == 0
		}
		if !c.backOff(ctx) {
			return false
		}
	}
}

func (c *container) again(code int32) bool {
	switch c.pod.spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	default:
		return !c.init || code != 0
	}
}

// prepare waits until there is everything that the container needs. It fails only with ctx.
func (c *container) prepare(ctx context.Context) ([]string, []string, error) {
	for wait := retryAfter; ; wait = min(2*wait, longestBackOff) {
		pod := c.pod.latest()
		refusal, err := c.pull(ctx, pod)
		if err != nil {
			return nil, nil, err
		}
		if refusal == nil {
			break
		}
		c.wait(refusal.reason, refusal.message)
		if refusal.then != "" {
			if !sleep(ctx, retryAfter) {
				return nil, nil, ctx.Err()
			}
			c.event(corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", c.spec.Image)
			c.wait(refusal.then, refusal.thenMessage)
		}
		if !sleep(ctx, 10*wait) {
			return nil, nil, ctx.Err()
		}
	}
	for {
		argv, environment, err := c.configure(ctx)
		if err == nil || ctx.Err() != nil {
			return argv, environment, ctx.Err()
		}
		// Messages of the API server name the resource, those of a kubelet the object.
		message := strings.NewReplacer(`secrets "`, `secret "`, `configmaps "`, `configmap "`).Replace(err.Error())
		reason := "CreateContainerConfigError"
		if errors.Is(err, errNoCommand) {
			reason = "CreateContainerError"
		}
		c.event(corev1.EventTypeWarning, "Failed", "Error: %s", message)
		c.wait(reason, message)
		if !sleep(ctx, retryAfter) {
			return nil, nil, ctx.Err()
		}
	}
}

var errNoCommand = errors.New("failed to generate container spec: no command specified")

// configure finds out what to run.
func (c *container) configure(ctx context.Context) ([]string, []string, error) {
	pod := c.pod.latest()
	if err := c.checkUser(pod); err != nil {
		return nil, nil, err
	}
	values, err := c.environment(ctx, pod)
	if err != nil {
		return nil, nil, err
	}
	command, args := c.spec.Command, c.spec.Args
	if len(command) == 0 {
		command = c.image.Command
		if len(args) == 0 {
			args = c.image.Args
		}
	}
	mapping := expansion.MappingFuncFor(values)
	var argv []string
	for _, part := range append(append([]string{}, command...), args...) {
		argv = append(argv, expansion.Expand(part, mapping))
	}
	if len(argv) == 0 {
		return nil, nil, errNoCommand
	}
	return argv, c.variables(values), nil
}

// checkUser refuses a user that is certainly root where root is forbidden. Which user an image has is not known here.
func (c *container) checkUser(pod *corev1.Pod) error {
	var user *int64
	var not *bool
	if common := pod.Spec.SecurityContext; common != nil {
		user, not = common.RunAsUser, common.RunAsNonRoot
	}
	if own := c.spec.SecurityContext; own != nil {
		if own.RunAsUser != nil {
			user = own.RunAsUser
		}
		if own.RunAsNonRoot != nil {
			not = own.RunAsNonRoot
		}
	}
	if isTrue(not) && user != nil && *user == 0 {
		return fmt.Errorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)",
			fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID), c.spec.Name)
	}
	return nil
}

// backOff waits before the container is started again; not before the first time.
func (c *container) backOff(ctx context.Context) bool {
	c.mutex.Lock()
	restarts := c.restarts
	terminated := c.state
	c.restarts++
	c.last = terminated
	c.mutex.Unlock()
	if restarts == 0 {
		return ctx.Err() == nil
	}
	wait := min(c.pod.kubelet.options.CrashBackOff<<min(restarts-1, 16), longestBackOff)
	message := fmt.Sprintf("back-off %v restarting failed container=%s pod=%s_%s(%s)",
		wait, c.spec.Name, c.pod.name, c.pod.namespace, c.pod.uid)
	c.event(corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s", c.spec.Name, c.pod.name)
	c.wait("CrashLoopBackOff", message)
	return sleep(ctx, wait)
}

func (c *container) wait(reason, message string) {
	c.mutex.Lock()
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	c.mutex.Unlock()
	c.pod.report()
}

func (c *container) finish(terminated corev1.ContainerStateTerminated, book *logBook) {
	c.mutex.Lock()
	c.running = nil
	if len(c.books) == 0 || c.books[len(c.books)-1] != book {
		c.books = append(c.books, book)
	}
	// A kubelet keeps the last one and the one before it.
	c.books = c.books[max(0, len(c.books)-2):]
	c.state = corev1.ContainerState{Terminated: &terminated}
	c.mutex.Unlock()
	c.pod.report()
}

// join gives a command that wants to run beside the container what it needs for that, as long as the container runs.
func (c *container) join() (context.Context, func(), *exec.Cmd) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.running == nil || c.ended.Err() != nil {
		return nil, nil, nil
	}
	c.commands.Add(1)
	return c.ended, c.commands.Done, c.running
}

func (c *container) isRunning() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.running != nil
}

// book is the log of the present run, or of the one before it.
func (c *container) book(previous bool) (*logBook, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	books := c.books
	if previous {
		switch {
		case c.last.Terminated == nil || len(books) == 0:
			return nil, fmt.Errorf("previous terminated container %q in pod %q not found", c.spec.Name, c.pod.name)
		case c.state.Waiting != nil:
			// While it waits to be started again, the last run is the one before.
			return books[len(books)-1], nil
		}
		return books[max(0, len(books)-2)], nil
	}
	if len(books) == 0 {
		reason := "ContainerCreating"
		if c.state.Waiting != nil {
			reason = c.state.Waiting.Reason
		}
		if reason == "ErrImagePull" || reason == "ImagePullBackOff" {
			reason = "trying and failing to pull image"
		}
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", c.spec.Name, c.pod.name, reason)
	}
	return books[len(books)-1], nil
}

// status is how the container does, as a pod's status has it.
func (c *container) status() corev1.ContainerStatus {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	isRunning := c.state.Running != nil
	ready := isRunning || (c.init && c.state.Terminated != nil && c.state.Terminated.ExitCode == 0)
	status := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, State: c.state, LastTerminationState: c.last,
		RestartCount: c.restarts, Ready: ready, Started: &isRunning,
	}
	if len(c.books) > 0 {
		status.ContainerID = c.id()
		status.ImageID = c.spec.Image
	}
	return status
}

func (c *container) id() string { return fmt.Sprintf("process://%s/%s", c.pod.uid, c.spec.Name) }

func (c *container) event(kind, reason, format string, values ...any) {
	reference := &corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: c.pod.namespace, Name: c.pod.name, UID: c.pod.uid,
		FieldPath: fmt.Sprintf("spec.containers{%s}", c.spec.Name),
	}
	c.pod.kubelet.recorder.Eventf(reference, kind, reason, format, values...)
}

// sleep waits; it says whether that was for as long as it should be.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
