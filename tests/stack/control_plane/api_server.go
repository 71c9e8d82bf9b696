package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"

	"control-plane/kubelet"
)

// How long anything here may take to start, on a machine that is busy.
const startTimeout = 170 * time.Second

// apiServerOptions is what the process of the API server is told.
type apiServerOptions struct {
	// URL is where it serves.
	URL string `json:"url"`
	// CAFile is what its certificate is signed with.
	CAFile string `json:"caFile"`
	// Certificate and Key are files of an administrator, who the controllers are.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// Directory is that of the whole cluster.
	Directory string `json:"directory"`
	// Args are those of kube-apiserver.
	Args []string `json:"args"`
}

// runAPIServer is the process with the API server, the controllers and the scheduler. It says "ready" when they are.
func runAPIServer(text string) error {
	var options apiServerOptions
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		return err
	}
	// A cluster that ends kills this process. If it was killed itself, this one does what it cannot do any more.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		kubelet.CleanUp(filepath.Join(options.Directory, kubeletDirectory))
		_ = os.RemoveAll(options.Directory)
		os.Exit(0)
	}()
	command := app.NewAPIServerCommand()
	command.SetArgs(options.Args)
	failed := make(chan error, 2)
	go func() { failed <- command.ExecuteContext(command.Context()) }()
	go func() {
		if err := runBeside(command.Context(), options); err != nil {
			failed <- err
			return
		}
		fmt.Println("ready")
	}()
	err := <-failed
	klog.Flush()
	if err == nil {
		err = fmt.Errorf("kube-apiserver has ended")
	}
	return err
}

// runBeside starts what needs an API server as soon as there is one.
func runBeside(ctx context.Context, options apiServerOptions) error {
	config := clientConfig(options)
	if err := waitReady(ctx, config); err != nil {
		return err
	}
	ca, err := os.ReadFile(options.CAFile)
	if err != nil {
		return err
	}
	if err := runControllers(ctx, config, ca); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	if err := runScheduler(ctx, config); err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	runtime.GC()
	return nil
}

func clientConfig(options apiServerOptions) *rest.Config {
	return &rest.Config{
		Host: options.URL,
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   options.CAFile,
			CertFile: options.Certificate,
			KeyFile:  options.Key,
		},
		UserAgent: "control-plane",
		// Nothing here is to wait for a limit of its own.
		QPS: -1,
	}
}

// waitReady waits until the API server says that it is ready.
func waitReady(ctx context.Context, config *rest.Config) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if response, err := client.Get(config.Host + "/readyz"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the API server is not ready after %v", startTimeout)
}
