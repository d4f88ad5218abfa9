package instance

import (
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/node"
)

// Outdated says whether the image would now say something else of the instance.
func (i Instance) Outdated(img image.Image, host node.Node) (bool, error) {
	return i.outdated(img, host)
}
