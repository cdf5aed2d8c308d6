//go:build race

package backendtest

// racing says that each element costs ten times as much: the large arrays, there
// for the threads, then go to some of the ops only.
const racing = true
