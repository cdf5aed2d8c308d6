package cuda

// OpenAnother is Open without its memory of the driver that the process has.
var OpenAnother = open
