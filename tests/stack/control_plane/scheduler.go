package main

import (
	"context"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

// runScheduler starts the scheduler with its usual profile, and returns when it knows what there is.
func runScheduler(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := scheduler.NewInformerFactory(client, 0)
	dynamicShared := dynamicinformer.NewDynamicSharedInformerFactory(dynamicClient, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	broadcaster.StartRecordingToSink(ctx.Done())
	found, err := scheduler.New(ctx, client, shared, dynamicShared,
		profile.NewRecorderFactory(broadcaster), scheduler.WithKubeConfig(config))
	if err != nil {
		return err
	}
	shared.Start(ctx.Done())
	dynamicShared.Start(ctx.Done())
	shared.WaitForCacheSync(ctx.Done())
	if err := found.WaitForHandlersSync(ctx); err != nil {
		return err
	}
	go found.Run(ctx)
	return nil
}
