package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd starts an etcd that forgets everything with its directory, and gives it with its address.
func startEtcd(directory string) (*embed.Etcd, string, error) {
	local := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config := embed.NewConfig()
	config.Dir = filepath.Join(directory, "etcd")
	config.ListenClientUrls = []url.URL{local}
	config.ListenPeerUrls = []url.URL{local}
	// Nobody is told these: it is a cluster of one.
	config.AdvertiseClientUrls = []url.URL{local}
	config.AdvertisePeerUrls = []url.URL{local}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// Only the API server asks it, and not by way of this.
	config.EnableGRPCGateway = false
	// Nothing has to survive a loss of power.
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.LogOutputs = []string{filepath.Join(directory, "etcd.log")}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, "", err
	}
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return nil, "", err
	case <-time.After(startTimeout):
		server.Close()
		return nil, "", errors.New("etcd is not ready")
	}
	return server, fmt.Sprintf("http://%s", server.Clients[0].Addr()), nil
}

// compact forgets all past states: a list or a watch that wants to go on from one is answered 410 Expired.
func compact(server *embed.Etcd) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	// The past ends before a state of its own: whatever anybody has seen until now is in it.
	put, err := server.Server.Put(ctx, &pb.PutRequest{Key: []byte("/control-plane/compacted"), Value: []byte("yes")})
	if err != nil {
		return 0, err
	}
	revision := put.Header.Revision
	_, err = server.Server.Compact(ctx, &pb.CompactionRequest{Revision: revision, Physical: true})
	return revision, err
}
