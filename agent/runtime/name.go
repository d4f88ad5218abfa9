package runtime

import "github.com/distribution/reference"

// FullName gives an image's name as engines keep it, with registry and tag: of
// "redis" it is "docker.io/library/redis:latest". A name with a digest has no
// tag. What is no image's name is a Failure with reason BadReference.
func FullName(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", Fail(BadReference, err, "%.120q is not the name of an image", ref)
	}
	if digested, ok := named.(reference.Digested); ok {
		plain, err := reference.WithDigest(reference.TrimNamed(named), digested.Digest())
		if err != nil {
			return "", Fail(BadReference, err, "%.120q is not the name of an image", ref)
		}
		return plain.String(), nil
	}
	return reference.TagNameOnly(named).String(), nil
}
