package kubelet

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// rootVariable says where things are that are below / in a container.
const rootVariable = "TEST_KUBELET_ROOT"

// environment is what the container's variables come to. It fails as long as something is missing that they name.
func (c *container) environment(ctx context.Context, pod *corev1.Pod) (map[string]string, error) {
	values := map[string]string{}
	for _, source := range c.spec.EnvFrom {
		some, err := c.environmentFrom(ctx, pod.Namespace, source)
		if err != nil {
			return nil, err
		}
		for key, value := range some {
			values[source.Prefix+key] = value
		}
	}
	mapping := expansion.MappingFuncFor(values)
	for _, variable := range c.spec.Env {
		if variable.ValueFrom == nil {
			values[variable.Name] = expansion.Expand(variable.Value, mapping)
			continue
		}
		value, present, err := c.valueOf(ctx, pod, variable.ValueFrom)
		if err != nil {
			return nil, err
		}
		if present {
			values[variable.Name] = value
		}
	}
	return values, nil
}

func (c *container) environmentFrom(ctx context.Context, namespace string, source corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case source.SecretRef != nil:
		data, err := c.pod.secret(ctx, namespace, source.SecretRef.Name)
		if apierrors.IsNotFound(err) && isTrue(source.SecretRef.Optional) {
			return nil, nil
		}
		return texts(data), err
	case source.ConfigMapRef != nil:
		data, err := c.pod.configMap(ctx, namespace, source.ConfigMapRef.Name)
		if apierrors.IsNotFound(err) && isTrue(source.ConfigMapRef.Optional) {
			return nil, nil
		}
		return texts(data), err
	}
	return nil, nil
}

// valueOf gives one value; an optional one may not be present.
func (c *container) valueOf(ctx context.Context, pod *corev1.Pod, source *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case source.FieldRef != nil:
		value, err := c.field(pod, source.FieldRef.FieldPath)
		return value, err == nil, err
	case source.ResourceFieldRef != nil:
		value, err := resource.ExtractContainerResourceValue(source.ResourceFieldRef, &c.spec)
		return value, err == nil, err
	case source.SecretKeyRef != nil:
		ref := source.SecretKeyRef
		data, err := c.pod.secret(ctx, pod.Namespace, ref.Name)
		return keyOf(data, err, ref.Key, isTrue(ref.Optional), "Secret", pod.Namespace, ref.Name)
	case source.ConfigMapKeyRef != nil:
		ref := source.ConfigMapKeyRef
		data, err := c.pod.configMap(ctx, pod.Namespace, ref.Name)
		return keyOf(data, err, ref.Key, isTrue(ref.Optional), "ConfigMap", pod.Namespace, ref.Name)
	}
	return "", false, nil
}

func keyOf(data map[string][]byte, err error, key string, optional bool, kind, namespace, name string) (string, bool, error) {
	if err != nil {
		if apierrors.IsNotFound(err) && optional {
			return "", false, nil
		}
		return "", false, err
	}
	value, present := data[key]
	if !present && !optional {
		return "", false, fmt.Errorf("couldn't find key %v in %s %v/%v", key, kind, namespace, name)
	}
	return string(value), present, nil
}

func (c *container) field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.podIP", "status.hostIPs", "status.podIPs":
		return "127.0.0.1", nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

// variables is the environment of the process: what a container has, and where things are that cannot be where they are
// in a container.
func (c *container) variables(own map[string]string) []string {
	api := c.pod.kubelet.options.APIServer
	values := map[string]string{
		"PATH":                    os.Getenv("PATH"),
		"HOME":                    c.root,
		"TMPDIR":                  c.temporary,
		"HOSTNAME":                c.pod.name,
		"KUBERNETES_SERVICE_HOST": api.IP.String(),
		"KUBERNETES_SERVICE_PORT": fmt.Sprint(api.Port),
		rootVariable:              c.root,
	}
	for key, value := range c.image.Env {
		values[key] = value
	}
	for key, value := range own {
		values[key] = value
	}
	name, value, _ := strings.Cut(c.mark, "=")
	values[name] = value
	list := make([]string, 0, len(values))
	for key, value := range values {
		list = append(list, key+"="+value)
	}
	sort.Strings(list)
	return list
}

func (p *pod) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	found, err := p.kubelet.options.Client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return found.Data, nil
}

func (p *pod) configMap(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	found, err := p.kubelet.options.Client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, value := range found.Data {
		data[key] = []byte(value)
	}
	for key, value := range found.BinaryData {
		data[key] = value
	}
	return data, nil
}

func texts(data map[string][]byte) map[string]string {
	found := make(map[string]string, len(data))
	for key, value := range data {
		found[key] = string(value)
	}
	return found
}

func isTrue(value *bool) bool { return value != nil && *value }
