package event

// Read gives how far the feed has read. Not while Next runs.
func (f *Feed) Read() int64 { return f.after }
