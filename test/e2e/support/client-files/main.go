// Reads files as clients would that cannot run in tests, by their own code, and fails where one of them would not take it. Prints,
// for each registry, where its images are asked for.
package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"github.com/rancher/wharfie/pkg/registries"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"gopkg.in/yaml.v3"
	kind "sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: %s k3s|kind|talos FILE", os.Args[0]))
	}
	text, err := os.ReadFile(os.Args[2])
	fail(err)
	readers := map[string]func([]byte) []string{"k3s": k3s, "kind": kindCluster, "talos": talos}
	lines := readers[os.Args[1]](text)
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

func k3s(text []byte) (lines []string) {
	file := registries.Registry{}
	fail(strictly(text, &file))
	for name, mirror := range file.Mirrors {
		lines = append(lines, fmt.Sprint(name, " ", mirror.Endpoints))
	}
	for host, config := range file.Configs {
		lines = append(lines, fmt.Sprint(host, " auth ", config.Auth != nil, " tls ", config.TLS != nil))
	}
	return lines
}

func kindCluster(text []byte) (lines []string) {
	cluster := kind.Cluster{}
	fail(strictly(text, &cluster))
	for _, node := range cluster.Nodes {
		for _, mount := range node.ExtraMounts {
			lines = append(lines, fmt.Sprint(node.Role, " ", mount.HostPath, " ", mount.ContainerPath))
		}
	}
	return lines
}

const machine = "version: v1alpha1\nmachine: {type: worker}\ncluster: {}\n"

func talos(text []byte) (lines []string) {
	patch, err := configpatcher.LoadPatch(text)
	fail(err)
	patched, err := configpatcher.Apply(configpatcher.WithBytes([]byte(machine)), []configpatcher.Patch{patch})
	fail(err)
	config, err := patched.Config()
	fail(err)
	for name, mirror := range config.Machine().Registries().Mirrors() {
		for _, endpoint := range mirror.Endpoints() {
			lines = append(lines, fmt.Sprint(name, " ", endpoint.Endpoint(), " path ", endpoint.OverridePath(), " alone ", mirror.SkipFallback()))
		}
	}
	for host, settings := range config.Machine().Registries().Config() {
		hasTLS := settings.TLS() != nil
		if hasTLS {
			_, err := settings.TLS().GetTLSConfig()
			fail(err)
		}
		lines = append(lines, fmt.Sprint(host, " auth ", settings.Auth() != nil, " tls ", hasTLS))
	}
	return lines
}

func strictly(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
