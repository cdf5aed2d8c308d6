package main

import "slices"

// table has every operator of op_db that Descent has. A new one is a row in the
// file of its kind.
func table() []operator {
	return slices.Concat(views, arithmetic)
}
