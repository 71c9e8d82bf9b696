package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/controller/ttlafterfinished"
)

// How many things of a kind a controller does at once.
const workers = 4

// How often the garbage collector looks whether there are new kinds of objects.
const discoveryPeriod = 30 * time.Second

// The kinds whose owners the garbage collector watches. A watch of every kind there is costs memory and a longer start.
var collected = map[string]bool{
	"pods": true, "jobs": true, "secrets": true, "configmaps": true, "services": true, "serviceaccounts": true,
}

// runControllers starts the controllers of a real cluster that are needed, each as kube-controller-manager does, and
// returns when they know what there is.
func runControllers(ctx context.Context, config *rest.Config, ca []byte) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, 0)
	core := shared.Core().V1()

	jobs, err := job.NewController(ctx, core.Pods(), shared.Batch().V1().Jobs(), client)
	if err != nil {
		return err
	}
	finished := ttlafterfinished.New(ctx, shared.Batch().V1().Jobs(), client)
	accounts, err := serviceaccount.NewServiceAccountsController(
		core.ServiceAccounts(), core.Namespaces(), client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	certificates, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), client, ca)
	if err != nil {
		return err
	}

	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	kinds := collectedKinds{client.Discovery()}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	namespaces := namespace.NewNamespaceController(
		ctx, client, metadataClient, client.Discovery().ServerPreferredNamespacedResources, core.Namespaces(),
		0, corev1.FinalizerKubernetes)
	started := make(chan struct{})
	garbage, err := garbagecollector.NewGarbageCollector(
		ctx, client, metadataClient, meta.ResettableRESTMapper(mapper), garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(shared, metadatainformer.NewSharedInformerFactory(metadataClient, 0)), started)
	if err != nil {
		return err
	}

	shared.Start(ctx.Done())
	close(started)
	go jobs.Run(ctx, workers)
	go finished.Run(ctx, workers)
	go accounts.Run(ctx, workers)
	go certificates.Run(ctx, workers)
	go namespaces.Run(ctx, workers)
	go garbage.Run(ctx, workers, discoveryPeriod)
	go garbage.Sync(ctx, kinds, discoveryPeriod)
	shared.WaitForCacheSync(ctx.Done())
	return nil
}

// collectedKinds is what the garbage collector is told there is.
type collectedKinds struct{ discovery.DiscoveryInterface }

// ServerPreferredResources gives those kinds only that are in collected.
func (k collectedKinds) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	lists, err := k.DiscoveryInterface.ServerPreferredResources()
	kept := make([]*metav1.APIResourceList, 0, len(lists))
	for _, list := range lists {
		some := *list
		some.APIResources = nil
		for _, resource := range list.APIResources {
			if collected[resource.Name] {
				some.APIResources = append(some.APIResources, resource)
			}
		}
		kept = append(kept, &some)
	}
	return kept, err
}
