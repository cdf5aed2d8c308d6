//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/cudnn"
)

// writeProperties writes what cuDNN says of a device: plans can then be made for it
// on machines without it.
func writeProperties(device, folder string) error {
	index := 0
	if device != "cuda" {
		if _, err := fmt.Sscanf(device, "cuda:%d", &index); err != nil {
			return fmt.Errorf("device %q is no CUDA device", device)
		}
	}
	driver, err := cuda.Open()
	if err != nil {
		return err
	}
	gpus, err := driver.Devices()
	if err != nil {
		return err
	}
	if index >= len(gpus) {
		return fmt.Errorf("there is no GPU of number %d", index)
	}
	ctx, err := gpus[index].Primary()
	if err != nil {
		return err
	}
	if err := ctx.Bind(); err != nil {
		return err
	}
	defer ctx.Unbind()
	lib, err := cudnn.Open()
	if err != nil {
		return err
	}
	handle, err := lib.NewHandle()
	if err != nil {
		return err
	}
	properties, err := handle.DeviceProperties()
	if err != nil {
		return err
	}
	defer properties.Destroy()
	text, err := properties.JSON()
	if err != nil {
		return err
	}
	path := filepath.Join(folder, "device-"+slug(gpus[index].Name())+".json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Println("wrote", filepath.Base(path))
	return nil
}

// slug is a GPU's model: "NVIDIA H100 80GB HBM3" is h100, "NVIDIA GeForce RTX 4090" rtx4090.
func slug(name string) string {
	var model string
	for _, word := range strings.Fields(strings.ToLower(name)) {
		switch word {
		case "nvidia", "tesla", "geforce", "quadro":
			continue
		}
		model += word
		if strings.ContainsAny(word, "0123456789") {
			break
		}
	}
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, model)
}
