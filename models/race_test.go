//go:build race

package models_test

const raced = true
