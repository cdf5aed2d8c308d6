package nccl

import "github.com/descent-ml/descent/cuda/internal/dl"

// DataType is the type of the elements that travel.
type DataType int32

const (
	Int8     DataType = 0  // ncclInt8
	UInt8    DataType = 1  // ncclUint8
	Int32    DataType = 2  // ncclInt32
	UInt32   DataType = 3  // ncclUint32
	Int64    DataType = 4  // ncclInt64
	UInt64   DataType = 5  // ncclUint64
	Float16  DataType = 6  // ncclFloat16
	Float32  DataType = 7  // ncclFloat32
	Float64  DataType = 8  // ncclFloat64
	BFloat16 DataType = 9  // ncclBfloat16
	FP8E4M3  DataType = 10 // ncclFloat8e4m3
	FP8E5M2  DataType = 11 // ncclFloat8e5m2
)

// Op is how the ranks' elements are combined.
type Op int32

const (
	Sum  Op = 0 // ncclSum
	Prod Op = 1 // ncclProd
	Max  Op = 2 // ncclMax
	Min  Op = 3 // ncclMin
	Avg  Op = 4 // ncclAvg
)

// AllReduce combines count elements of every rank; every rank gets the result. In all calls addresses are on the device,
// counts are in elements, and a receive buffer may be the send buffer, or for AllGather and ReduceScatter this rank's part
// of it.
func (c Comm) AllReduce(send, recv, count uint64, t DataType, op Op, stream uintptr) error {
	return c.lib.do(&c.lib.api.allReduce, dl.Int(send), dl.Int(recv), dl.Int(count), dl.Int(t), dl.Int(op), dl.Int(c.p), dl.Int(stream))
}

// Reduce is AllReduce whose result only the root gets.
func (c Comm) Reduce(send, recv, count uint64, t DataType, op Op, root int, stream uintptr) error {
	return c.lib.do(&c.lib.api.reduce, dl.Int(send), dl.Int(recv), dl.Int(count), dl.Int(t), dl.Int(op), dl.Int(root), dl.Int(c.p), dl.Int(stream))
}

// ReduceScatter combines ranks·count elements of every rank; rank i gets the i-th count of the result.
func (c Comm) ReduceScatter(send, recv, count uint64, t DataType, op Op, stream uintptr) error {
	return c.lib.do(&c.lib.api.reduceScatter, dl.Int(send), dl.Int(recv), dl.Int(count), dl.Int(t), dl.Int(op), dl.Int(c.p), dl.Int(stream))
}

// AllGather gives every rank the count elements of all, one rank's after the other.
func (c Comm) AllGather(send, recv, count uint64, t DataType, stream uintptr) error {
	return c.lib.do(&c.lib.api.allGather, dl.Int(send), dl.Int(recv), dl.Int(count), dl.Int(t), dl.Int(c.p), dl.Int(stream))
}

// Broadcast gives every rank the root's elements.
func (c Comm) Broadcast(send, recv, count uint64, t DataType, root int, stream uintptr) error {
	return c.lib.do(&c.lib.api.broadcast, dl.Int(send), dl.Int(recv), dl.Int(count), dl.Int(t), dl.Int(root), dl.Int(c.p), dl.Int(stream))
}

// Send sends to one rank, which must receive as many.
func (c Comm) Send(send, count uint64, t DataType, peer int, stream uintptr) error {
	return c.lib.do(&c.lib.api.send, dl.Int(send), dl.Int(count), dl.Int(t), dl.Int(peer), dl.Int(c.p), dl.Int(stream))
}

// Recv receives from one rank, which must send as many.
func (c Comm) Recv(recv, count uint64, t DataType, peer int, stream uintptr) error {
	return c.lib.do(&c.lib.api.recv, dl.Int(recv), dl.Int(count), dl.Int(t), dl.Int(peer), dl.Int(c.p), dl.Int(stream))
}
