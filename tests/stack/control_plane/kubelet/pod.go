package kubelet

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// How long one call may take.
	callLimit = 30 * time.Second
	// How long it is waited after one that failed, as while the API server is away.
	callAgain = 200 * time.Millisecond
)

// pod is one pod, from when it is bound to a node to when it is gone.
type pod struct {
	kubelet         *Kubelet
	namespace, name string
	uid             types.UID
	spec            corev1.PodSpec
	directory       string
	containers      []*container
	started         metav1.Time
	// done is closed when nothing of it is left, and killed when its processes may not last any longer.
	done, killed chan struct{}
	kill         sync.Once
	// ctx ends when the pod is to end, known when the API server does not know it any more, or is not to be asked.
	ctx, known context.Context
	stop, lose context.CancelFunc
	// dirty says that its status has changed.
	dirty chan struct{}

	mutex      sync.Mutex
	object     *corev1.Pod
	grace      int64
	deleting   chan struct{}
	isDeleting bool
	prepared   bool
	deadline   bool
	conditions map[corev1.PodConditionType]corev1.PodCondition
}

func newPod(k *Kubelet, object *corev1.Pod) *pod {
	p := &pod{
		kubelet: k, namespace: object.Namespace, name: object.Name, uid: object.UID, object: object,
		spec:      object.Spec,
		directory: filepath.Join(k.options.Directory, "pods", string(object.UID)),
		started:   metav1.Now(),
		done:      make(chan struct{}), killed: make(chan struct{}),
		dirty: make(chan struct{}, 1), deleting: make(chan struct{}), grace: -1,
		conditions: map[corev1.PodConditionType]corev1.PodCondition{},
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.known, p.lose = context.WithCancel(context.Background())
	for _, spec := range object.Spec.InitContainers {
		p.containers = append(p.containers, newContainer(p, spec, true))
	}
	for _, spec := range object.Spec.Containers {
		p.containers = append(p.containers, newContainer(p, spec, false))
	}
	return p
}

func (p *pod) latest() *corev1.Pod {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.object
}

// changed takes in what the API server says of the pod; it may be asked to end.
func (p *pod) changed(object *corev1.Pod) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.object = object
	if object.DeletionTimestamp == nil || object.DeletionGracePeriodSeconds == nil {
		return
	}
	grace := *object.DeletionGracePeriodSeconds
	if !p.isDeleting {
		p.isDeleting = true
		close(p.deleting)
	}
	if p.grace < 0 || grace < p.grace {
		p.grace = grace
		p.end(time.Duration(grace) * time.Second)
	}
}

// end ends the processes: with a signal now, and by force after a while.
func (p *pod) end(grace time.Duration) {
	p.stop()
	time.AfterFunc(grace, p.force)
}

func (p *pod) force() { p.kill.Do(func() { close(p.killed) }) }

// abandon ends the processes at once and tells nobody.
func (p *pod) abandon() {
	p.lose()
	p.stop()
	p.force()
}

// run is the life of the pod.
func (p *pod) run() {
	defer close(p.done)
	defer os.RemoveAll(p.directory)
	phase := p.latest().Status.Phase
	if phase != corev1.PodSucceeded && phase != corev1.PodFailed {
		writing, written := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(written)
			for {
				select {
				case <-p.dirty:
					p.write()
				case <-writing:
					return
				}
			}
		}()
		p.report()
		p.work()
		close(writing)
		<-written
		p.write()
	}
	select {
	case <-p.deleting:
		p.remove()
	case <-p.known.Done():
	}
	// Logs can be read until then.
	<-p.known.Done()
}

// work runs the containers: one after another those for the beginning, then all others at once.
func (p *pod) work() {
	if seconds := p.spec.ActiveDeadlineSeconds; seconds != nil {
		timer := time.AfterFunc(time.Duration(*seconds)*time.Second, p.expire)
		defer timer.Stop()
	}
	if !p.mount() {
		return
	}
	var others sync.WaitGroup
	for _, one := range p.containers {
		if one.init {
			if !one.run(p.ctx) {
				return
			}
			continue
		}
		p.mutex.Lock()
		p.prepared = true
		p.mutex.Unlock()
		others.Add(1)
		go func() {
			defer others.Done()
			one.run(p.ctx)
		}()
	}
	others.Wait()
}

func (p *pod) expire() {
	p.mutex.Lock()
	p.deadline = true
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if own := p.spec.TerminationGracePeriodSeconds; own != nil {
		grace = *own
	}
	p.mutex.Unlock()
	p.end(time.Duration(grace) * time.Second)
}

// mount makes the volumes; what they name may be missing for a while.
func (p *pod) mount() bool {
	places := map[string]string{}
	for _, volume := range p.spec.Volumes {
		for {
			place, err := p.fill(p.ctx, volume)
			if p.ctx.Err() != nil {
				return false
			}
			if err == nil {
				places[volume.Name] = place
				break
			}
			p.kubelet.recorder.Eventf(p.latest(), corev1.EventTypeWarning, "FailedMount",
				"MountVolume.SetUp failed for volume %q : %v", volume.Name, err)
			if !sleep(p.ctx, retryAfter) {
				return false
			}
		}
	}
	for _, one := range p.containers {
		if err := one.mount(places); err != nil {
			p.kubelet.recorder.Eventf(p.latest(), corev1.EventTypeWarning, "Failed", "Error: %v", err)
			return false
		}
	}
	return true
}

// report says that the status has changed; several changes may be written at once.
func (p *pod) report() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// write brings the status to the API server, however long that takes.
func (p *pod) write() {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.uid},
		"status":   p.status(),
	})
	if err != nil {
		panic(err)
	}
	p.insist(func(ctx context.Context) error {
		_, err := p.kubelet.options.Client.CoreV1().Pods(p.namespace).Patch(
			ctx, p.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
}

// remove takes the pod away, which only a kubelet can decide that has ended its processes.
func (p *pod) remove() {
	none := int64(0)
	p.insist(func(ctx context.Context) error {
		return p.kubelet.options.Client.CoreV1().Pods(p.namespace).Delete(ctx, p.name, metav1.DeleteOptions{
			GracePeriodSeconds: &none, Preconditions: metav1.NewUIDPreconditions(string(p.uid)),
		})
	})
}

// insist calls until the answer is final, or the pod is gone.
func (p *pod) insist(call func(context.Context) error) {
	for p.known.Err() == nil {
		ctx, cancel := context.WithTimeout(p.known, callLimit)
		err := call(ctx)
		cancel()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
			return
		}
		sleep(p.known, callAgain)
	}
}

// status is how the pod does.
func (p *pod) status() corev1.PodStatus {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	status := corev1.PodStatus{
		HostIP: "127.0.0.1", HostIPs: []corev1.HostIP{{IP: "127.0.0.1"}},
		PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}},
		StartTime: &p.started,
	}
	ready := true
	for _, one := range p.containers {
		found := one.status()
		if one.init {
			status.InitContainerStatuses = append(status.InitContainerStatuses, found)
		} else {
			status.ContainerStatuses = append(status.ContainerStatuses, found)
			ready = ready && found.Ready
		}
	}
	status.Phase = p.phase(status)
	if p.deadline && status.Phase == corev1.PodFailed {
		status.Reason = "DeadlineExceeded"
		status.Message = "Pod was active on the node longer than the specified deadline"
	}
	reason := ""
	switch {
	case status.Phase == corev1.PodSucceeded:
		reason = "PodCompleted"
	case status.Phase == corev1.PodFailed:
		reason = "PodFailed"
	case !ready:
		reason = "ContainersNotReady"
	}
	ready = ready && reason == ""
	status.Conditions = []corev1.PodCondition{
		p.condition(corev1.PodReadyToStartContainers, true, ""),
		p.condition(corev1.PodInitialized, p.prepared || status.Phase == corev1.PodSucceeded, ""),
		p.condition(corev1.ContainersReady, ready, reason),
		p.condition(corev1.PodReady, ready, reason),
	}
	return status
}

func (p *pod) condition(kind corev1.PodConditionType, isTrue bool, reason string) corev1.PodCondition {
	value := corev1.ConditionFalse
	if isTrue {
		value = corev1.ConditionTrue
	}
	condition := corev1.PodCondition{Type: kind, Status: value, Reason: reason, LastTransitionTime: metav1.Now()}
	if before, known := p.conditions[kind]; known && before.Status == value {
		condition.LastTransitionTime = before.LastTransitionTime
	}
	p.conditions[kind] = condition
	return condition
}

// phase sums up the containers as a kubelet does.
func (p *pod) phase(status corev1.PodStatus) corev1.PodPhase {
	policy := p.spec.RestartPolicy
	over := p.ctx.Err() != nil
	for _, one := range status.InitContainerStatuses {
		if ended := one.State.Terminated; ended != nil && ended.ExitCode != 0 && policy == corev1.RestartPolicyNever {
			return corev1.PodFailed
		}
	}
	running, waiting, failed, unstarted := 0, 0, 0, 0
	for _, one := range status.ContainerStatuses {
		switch {
		case one.State.Running != nil:
			running++
		case one.State.Terminated != nil:
			if one.State.Terminated.ExitCode != 0 {
				failed++
			}
			if over {
				continue
			}
			if policy == corev1.RestartPolicyAlways ||
				(policy == corev1.RestartPolicyOnFailure && one.State.Terminated.ExitCode != 0) {
				waiting++
			}
		default:
			if one.LastTerminationState.Terminated == nil {
				unstarted++
			} else {
				waiting++
			}
		}
	}
	switch {
	case over && running > 0:
		return corev1.PodRunning
	case over && (unstarted > 0 || waiting > 0 || failed > 0 || p.deadline):
		return corev1.PodFailed
	case unstarted > 0:
		return corev1.PodPending
	case running > 0 || waiting > 0:
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}
