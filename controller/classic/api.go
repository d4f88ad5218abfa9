package classic

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image"
)

// The types of bodies, for the OpenAPI document. What clients may leave out or
// send in another form is in the descriptions.
type (
	// ClassicFind is the body of getUser.
	ClassicFind struct {
		Type  string `json:"type" enum:"email,username"`
		Value string `json:"value"`
	}
	// ClassicUserBody is the body of create-user.
	ClassicUserBody struct {
		Username string `json:"username"`
		Email    string `json:"email"`
		Password string `json:"password"`
		UserID   string `json:"userId,omitempty" doc:"Free text; made when absent"`
		Admin    bool   `json:"admin,omitempty"`
	}
	// ClassicID is a body that names an instance.
	ClassicID struct {
		ID string `json:"id"`
	}
	// ClassicOwner is the body of getUserInstance.
	ClassicOwner struct {
		UserID string `json:"userId"`
	}
	// ClassicEmail is the body of reset-password.
	ClassicEmail struct {
		Email string `json:"email"`
	}
	// ClassicNodeID is the body of nodes/delete.
	ClassicNodeID struct {
		NodeID string `json:"nodeId"`
	}
	// ClassicDeployBody is the body of deploy.
	ClassicDeployBody struct {
		Image     string            `json:"image,omitempty" doc:"A container reference that an image of the catalogue has"`
		ImageName string            `json:"imagename,omitempty" doc:"The name of an image of the catalogue; wins"`
		Memory    string            `json:"memory" doc:"MiB; a number too"`
		CPU       string            `json:"cpu" doc:"Cores, fractions allowed; a number too"`
		Ports     string            `json:"ports" doc:"container:host,container:host"`
		Primary   string            `json:"primary,omitempty" doc:"A container port, or container:host; the first of the ports when absent"`
		NodeID    string            `json:"nodeId" doc:"Or auto: a node is chosen that is online and has room and the ports"`
		Name      string            `json:"name"`
		User      string            `json:"user" doc:"The owner's userId"`
		Variables map[string]string `json:"variables,omitempty" doc:"Or the same object as a JSON text"`
	}
	// ClassicNodeBody is the body of nodes/create.
	ClassicNodeBody struct {
		Name      string `json:"name"`
		Tags      string `json:"tags" doc:"eu,ssd"`
		RAM       string `json:"ram" doc:"GB"`
		Disk      string `json:"disk" doc:"GB"`
		Processor string `json:"processor"`
		Address   string `json:"address"`
		Port      string `json:"port"`
	}
)

// The types of answers that are written by hand, for the OpenAPI document only.
type (
	// ClassicName is the answer of name.
	ClassicName struct {
		Name string `json:"name"`
	}
	// ClassicNode is a node.
	ClassicNode struct {
		ID             string     `json:"id"`
		Name           string     `json:"name"`
		Tags           string     `json:"tags"`
		RAM            string     `json:"ram" doc:"GB"`
		Disk           string     `json:"disk" doc:"GB"`
		Processor      string     `json:"processor"`
		Address        string     `json:"address"`
		Port           string     `json:"port"`
		Status         NodeStatus `json:"status" enum:"Unconfigured,Configured,Online,Offline,Unknown"`
		VersionFamily  string     `json:"versionFamily"`
		VersionRelease string     `json:"versionRelease"`
	}
	// ClassicNewNode is the answer of nodes/create.
	ClassicNewNode struct {
		Message struct {
			ClassicNode
			ConfigureKey     string `json:"configureKey" doc:"Lets its agent in, once and within an hour; shown only here"`
			ConfigureCommand string `json:"configureCommand" doc:"To run on the node"`
		} `json:"Message"`
	}
	// ClassicInstance is an instance.
	ClassicInstance struct {
		Name          string        `json:"Name"`
		ID            string        `json:"Id"`
		Node          ClassicNode   `json:"Node"`
		User          string        `json:"User"`
		InternalState InternalState `json:"InternalState" enum:"INSTALLING,READY,FAILED,UNKNOWN"`
		ContainerID   string        `json:"ContainerId"`
		VolumeID      string        `json:"VolumeId"`
		Memory        int64         `json:"Memory" doc:"MiB"`
		CPU           float64       `json:"Cpu" doc:"Cores"`
		Disk          int64         `json:"Disk" doc:"MiB"`
		Ports         string        `json:"Ports" doc:"container:host,container:host"`
		Primary       string        `json:"Primary"`
		Image         string        `json:"Image"`
		AltImages     []string      `json:"AltImages"`
		StopCommand   string        `json:"StopCommand"`
		ImageData     image.Classic `json:"imageData"`
		Env           []string      `json:"Env"`
		Suspended     bool          `json:"suspended"`
	}
)

// Mount registers every call of the classic API.
func (s *Service) Mount(a *httpapi.API) {
	const get, post, remove = http.MethodGet, http.MethodPost, http.MethodDelete
	anyone, see := access.Needs(access.ScopeRead), access.Uses(access.SeeInstance)
	manage := access.Permits(access.WriteInstances)
	readUsers, writeUsers := access.Permits(access.ReadUsers), access.Permits(access.WriteUsers)
	for _, o := range []struct {
		op httpapi.Operation
		h  handler
	}{
		{httpapi.Operation{ID: "classicName", Method: get, Path: "/api/name", Access: anyone, Answers: ClassicName{}, Summary: "The panel's name"}, s.name},
		{httpapi.Operation{ID: "classicUsers", Method: get, Path: "/api/users", Access: readUsers, Answers: []ClassicUser{}, Summary: "All users"}, s.listUsers},
		{httpapi.Operation{ID: "classicGetUser", Method: post, Path: "/api/getUser", Access: readUsers, Status: 201, Accepts: ClassicFind{}, Answers: ClassicUser{},
			Summary: "A user by name or address"}, s.getUser},
		{httpapi.Operation{ID: "classicCreateUser", Method: post, Path: "/api/auth/create-user", Access: writeUsers, Status: 201, Timeout: time.Minute,
			Accepts: ClassicUserBody{}, Answers: ClassicNewUser{}, Summary: "Make a user"}, s.createUser},
		{httpapi.Operation{ID: "classicResetPassword", Method: post, Path: "/api/auth/reset-password", Access: writeUsers, Accepts: ClassicEmail{},
			Answers: ClassicMessage{}, Summary: "Refused: this API sends no mail"}, s.resetPassword},
		{httpapi.Operation{ID: "classicInstances", Method: get, Path: "/api/instances", Access: anyone, Answers: []ClassicInstance{},
			Summary: "All instances that the key's user may see"}, s.listInstances},
		{httpapi.Operation{ID: "classicDeploy", Method: post, Path: "/api/instances/deploy", Access: manage, Status: 201, Timeout: time.Minute,
			Accepts: ClassicDeployBody{}, Answers: ClassicDeployed{}, Summary: "Deploy an instance"}, s.deploy},
		{httpapi.Operation{ID: "classicDelete", Method: remove, Path: "/api/instance/delete", Access: manage, Status: 201, Timeout: time.Minute,
			Accepts: ClassicID{}, Answers: ClassicMessage{}, Summary: "Delete an instance with its data"}, s.deleteInstance},
		{httpapi.Operation{ID: "classicGetUserInstance", Method: post, Path: "/api/getUserInstance", Access: anyone, Accepts: ClassicOwner{},
			Answers: []ClassicInstance{}, Summary: "A user's instances"}, s.getUserInstance},
		{httpapi.Operation{ID: "classicGetInstance", Method: post, Path: "/api/getInstance", Access: see, Accepts: ClassicID{}, Answers: ClassicInstance{},
			Summary: "An instance"}, s.getInstance},
		{httpapi.Operation{ID: "classicSuspend", Method: post, Path: "/api/instances/suspend/{id}", Access: manage, Answers: ClassicInstance{},
			Summary: "Stop an instance and refuse it power"}, s.handleSuspension(s.suspend, "The instance has been suspended")},
		{httpapi.Operation{ID: "classicSuspendByBody", Method: post, Path: "/api/instances/suspend", Access: manage, Accepts: ClassicID{},
			Answers: ClassicInstance{}, Summary: "Suspend, with the id in the body"}, s.handleSuspension(s.suspend, "The instance has been suspended")},
		{httpapi.Operation{ID: "classicUnsuspend", Method: post, Path: "/api/instances/unsuspend/{id}", Access: manage, Answers: ClassicInstance{},
			Summary: "Give an instance its power back"}, s.handleSuspension(s.Instances.Unsuspend, "The instance has been unsuspended")},
		{httpapi.Operation{ID: "classicUnsuspendByBody", Method: post, Path: "/api/instances/unsuspend", Access: manage, Accepts: ClassicID{},
			Answers: ClassicInstance{}, Summary: "Unsuspend, with the id in the body"}, s.handleSuspension(s.Instances.Unsuspend, "The instance has been unsuspended")},
		{httpapi.Operation{ID: "classicImages", Method: get, Path: "/api/images", Access: anyone, Answers: []image.Classic{}, Summary: "The catalogue"}, s.listImages},
		{httpapi.Operation{ID: "classicNodes", Method: get, Path: "/api/nodes", Access: access.Permits(access.ReadNodes), Answers: []ClassicNode{}, Summary: "All nodes"}, s.listNodes},
		{httpapi.Operation{ID: "classicCreateNode", Method: post, Path: "/api/nodes/create", Access: access.Permits(access.WriteNodes), Status: 201, Accepts: ClassicNodeBody{},
			Answers: ClassicNewNode{}, Summary: "Make a node and its enrolment key"}, s.createNode},
		{httpapi.Operation{ID: "classicDeleteNode", Method: remove, Path: "/api/nodes/delete", Access: access.Permits(access.WriteNodes), Status: 201, Accepts: ClassicNodeID{},
			Answers: ClassicNodeDeleted{}, Summary: "Delete a node without instances"}, s.deleteNode},
	} {
		mount(a, o.op, o.h)
	}
	s.mountSockets(a)
}

func (s *Service) name(context.Context, access.Caller, *httpapi.Request) (httpapi.Reply, error) {
	return httpapi.Reply{Body: ClassicName{s.Name}}, nil
}

func (s *Service) listImages(ctx context.Context, c access.Caller, _ *httpapi.Request) (httpapi.Reply, error) {
	staff, name := c.Holds(access.WriteImages), "images"
	if !staff {
		name = "images for customers"
	}
	raw, err := s.memo.get(ctx, name, func() ([]byte, error) {
		images, err := s.Images.All(ctx)
		if err != nil {
			return nil, err
		}
		views := make([]image.Classic, len(images))
		for n, i := range images {
			views[n] = i.Shown(!staff).ToClassic()
		}
		return marshal(views)
	})
	return httpapi.Reply{Raw: raw}, err
}
