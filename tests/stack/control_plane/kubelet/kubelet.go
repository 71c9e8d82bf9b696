// Package kubelet is a small kubelet for tests. It registers nodes, runs the pods bound to them as processes of this
// machine, tells the API server how they do as a kubelet does, and serves logs and exec to it.
//
// It isolates nothing and mounts nothing; README.md beside the program says what it does instead.
package kubelet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// Node is one node to register.
type Node struct {
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels,omitempty"`
	Taints   []corev1.Taint    `json:"taints,omitempty"`
	Capacity map[string]string `json:"capacity,omitempty"`
}

// Image is what an image brings that a container may leave out.
type Image struct {
	Command []string          `json:"command,omitempty"`
	Args    []string          `json:"args,omitempty"`
	Env     map[string]string `json:"env,omitempty"`
}

// Options is what a kubelet is made of.
type Options struct {
	Client kubernetes.Interface
	// APIServer is where pods find the API server.
	APIServer *net.TCPAddr
	// Directory is for what belongs to pods; a pod's part goes with it.
	Directory string
	Nodes     []Node
	Images    map[string]Image
	// CrashBackOff is how long the second restart of a container waits; the waiting doubles each time.
	CrashBackOff time.Duration
	// TLS is for serving; clients must have a certificate with the name Client.
	TLS        *tls.Config
	ClientName string
}

// Kubelet is a running one.
type Kubelet struct {
	options  Options
	starter  *starter
	recorder record.EventRecorder
	port     int32

	mutex sync.Mutex
	pods  map[types.UID]*pod
}

// Start registers the nodes and begins to run what is bound to them. It returns when both is done once.
func Start(ctx context.Context, options Options) (*Kubelet, error) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: options.Client.CoreV1().Events("")})
	k := &Kubelet{
		options:  options,
		starter:  newStarter(),
		recorder: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet"}),
		pods:     map[types.UID]*pod{},
	}
	if err := k.serve(); err != nil {
		return nil, err
	}
	for _, node := range options.Nodes {
		if err := k.register(ctx, node); err != nil {
			return nil, fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return k, k.watch(ctx)
}

// Stop ends all processes at once and waits until they are gone.
func (k *Kubelet) Stop() {
	k.mutex.Lock()
	pods := make([]*pod, 0, len(k.pods))
	for _, pod := range k.pods {
		pods = append(pods, pod)
	}
	k.mutex.Unlock()
	for _, pod := range pods {
		pod.abandon()
	}
	for _, pod := range pods {
		<-pod.done
	}
}

func (k *Kubelet) serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	k.port = int32(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: k.handler(), TLSConfig: k.options.TLS}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return nil
}

func (k *Kubelet) register(ctx context.Context, node Node) error {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("8"),
		corev1.ResourceMemory: resource.MustParse("16Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	for name, text := range node.Capacity {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return err
		}
		capacity[corev1.ResourceName(name)] = quantity
	}
	labels := map[string]string{
		corev1.LabelHostname: node.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
	}
	for key, value := range node.Labels {
		labels[key] = value
	}
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: node.Taints},
	}
	now := metav1.Now()
	status := corev1.NodeStatus{
		Capacity:    capacity,
		Allocatable: capacity,
		Addresses:   []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{
			KubeletEndpoint: corev1.DaemonEndpoint{Port: k.port},
		},
		NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.34.4-test", OperatingSystem: "linux", Architecture: "amd64"},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: now, LastTransitionTime: now,
		}},
	}
	nodes := k.options.Client.CoreV1().Nodes()
	created, err := nodes.Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		created, err = nodes.Get(ctx, node.Name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	created.Status = status
	if _, err = nodes.UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return err
	}
	// The API server marks new nodes as not ready, which the controller of nodes takes back; there is none here.
	created, err = nodes.Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	created.Spec.Taints = node.Taints
	_, err = nodes.Update(ctx, created, metav1.UpdateOptions{})
	return err
}

// watch follows all pods that are bound to one of the nodes.
func (k *Kubelet) watch(ctx context.Context) error {
	mine := map[string]bool{}
	for _, node := range k.options.Nodes {
		mine[node.Name] = true
	}
	bound := cache.NewListWatchFromClient(
		k.options.Client.CoreV1().RESTClient(), "pods", "", fields.OneTermNotEqualSelector("spec.nodeName", ""))
	changed := func(object any) {
		if found, ok := object.(*corev1.Pod); ok && mine[found.Spec.NodeName] {
			k.changed(found)
		}
	}
	informer := cache.NewSharedInformer(bound, &corev1.Pod{}, 0)
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, object any) { changed(object) },
		DeleteFunc: func(object any) {
			if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = missed.Obj
			}
			if found, ok := object.(*corev1.Pod); ok {
				k.gone(found.UID)
			}
		},
	}); err != nil {
		return err
	}
	go informer.Run(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	return nil
}

func (k *Kubelet) changed(object *corev1.Pod) {
	k.mutex.Lock()
	known := k.pods[object.UID]
	if known == nil {
		known = newPod(k, object)
		k.pods[object.UID] = known
		go func() {
			known.run()
			k.mutex.Lock()
			defer k.mutex.Unlock()
			delete(k.pods, object.UID)
		}()
	}
	k.mutex.Unlock()
	known.changed(object)
}

func (k *Kubelet) gone(uid types.UID) {
	k.mutex.Lock()
	known := k.pods[uid]
	k.mutex.Unlock()
	if known != nil {
		known.abandon()
	}
}

// find gives a pod that is here, and its container.
func (k *Kubelet) find(namespace, name, containerName string) (*pod, *container) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, pod := range k.pods {
		if pod.namespace == namespace && pod.name == name {
			for _, one := range pod.containers {
				if one.spec.Name == containerName {
					return pod, one
				}
			}
		}
	}
	return nil, nil
}
