package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/fieldpath"
)

// fill makes one volume of the pod and gives its directory. It fails as long as something is missing that it names.
func (p *pod) fill(ctx context.Context, volume corev1.Volume) (string, error) {
	pod := p.latest()
	directory := filepath.Join(p.directory, "volumes", volume.Name)
	if claim := volume.PersistentVolumeClaim; claim != nil {
		// A claim is the same directory for all pods, as long as the cluster is there.
		if _, err := p.kubelet.options.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(
			ctx, claim.ClaimName, metav1.GetOptions{}); err != nil {
			return "", err
		}
		directory = filepath.Join(p.kubelet.options.Directory, "claims", pod.Namespace, claim.ClaimName)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return "", err
	}
	switch {
	case volume.Secret != nil:
		data, err := p.secret(ctx, pod.Namespace, volume.Secret.SecretName)
		return directory, project(directory, data, err, volume.Secret.Items, isTrue(volume.Secret.Optional))
	case volume.ConfigMap != nil:
		data, err := p.configMap(ctx, pod.Namespace, volume.ConfigMap.Name)
		return directory, project(directory, data, err, volume.ConfigMap.Items, isTrue(volume.ConfigMap.Optional))
	case volume.DownwardAPI != nil:
		return directory, p.projectFields(directory, pod, volume.DownwardAPI.Items)
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			if err := p.projectSource(ctx, directory, pod, source); err != nil {
				return "", err
			}
		}
	}
	return directory, nil
}

func (p *pod) projectSource(ctx context.Context, directory string, pod *corev1.Pod, source corev1.VolumeProjection) error {
	switch {
	case source.Secret != nil:
		data, err := p.secret(ctx, pod.Namespace, source.Secret.Name)
		return project(directory, data, err, source.Secret.Items, isTrue(source.Secret.Optional))
	case source.ConfigMap != nil:
		data, err := p.configMap(ctx, pod.Namespace, source.ConfigMap.Name)
		return project(directory, data, err, source.ConfigMap.Items, isTrue(source.ConfigMap.Optional))
	case source.DownwardAPI != nil:
		return p.projectFields(directory, pod, source.DownwardAPI.Items)
	case source.ServiceAccountToken != nil:
		return p.projectToken(ctx, directory, pod, source.ServiceAccountToken)
	}
	return nil
}

// projectToken asks for a token that is bound to the pod. It is not renewed.
func (p *pod) projectToken(ctx context.Context, directory string, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
		},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	answer, err := p.kubelet.options.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(
		ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return writeInside(directory, source.Path, []byte(answer.Status.Token))
}

func (p *pod) projectFields(directory string, pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		if item.FieldRef == nil {
			continue
		}
		value, err := fieldpath.ExtractFieldPathAsString(pod, item.FieldRef.FieldPath)
		if err != nil {
			return err
		}
		if err := writeInside(directory, item.Path, []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

// project writes the keys as files: all of them, or those that are listed.
func project(directory string, data map[string][]byte, err error, items []corev1.KeyToPath, optional bool) error {
	if err != nil {
		if apierrors.IsNotFound(err) && optional {
			return nil
		}
		return err
	}
	if len(items) == 0 {
		for key, value := range data {
			if err := writeInside(directory, key, value); err != nil {
				return err
			}
		}
	}
	for _, item := range items {
		value, present := data[item.Key]
		if !present && !optional {
			return fmt.Errorf("references non-existent secret key: %s", item.Key)
		}
		if present {
			if err := writeInside(directory, item.Path, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeInside(directory, path string, content []byte) error {
	target := filepath.Join(directory, filepath.Clean("/"+path))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o600)
}

// mount makes the container's directories: links to volumes at the places they have in a container.
func (c *container) mount(volumes map[string]string) error {
	c.root = filepath.Join(c.pod.directory, "containers", c.spec.Name)
	c.temporary = filepath.Join(c.root, "tmp")
	for _, directory := range []string{c.temporary, filepath.Join(c.root, "dev")} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return err
		}
	}
	for _, mount := range c.spec.VolumeMounts {
		link := filepath.Join(c.root, filepath.Clean("/"+mount.MountPath))
		target := volumes[mount.Name]
		if mount.SubPath != "" {
			target = filepath.Join(target, filepath.Clean("/"+mount.SubPath))
			if _, err := os.Stat(target); os.IsNotExist(err) {
				if err := os.MkdirAll(target, 0o700); err != nil {
					return err
				}
			}
		}
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			return err
		}
		// A restarted container has it already; an empty directory of ours may be there for a mount below.
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	return os.MkdirAll(c.workingDirectory(), 0o700)
}

func (c *container) workingDirectory() string {
	return filepath.Join(c.root, filepath.Clean("/"+strings.TrimSpace(c.spec.WorkingDir)))
}
