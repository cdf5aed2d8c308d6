package cudnn

type legacy struct{}
