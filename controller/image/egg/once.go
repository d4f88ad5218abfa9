package egg

import "slices"

// once leaves what an object can say once: of two files of one path, and of two
// values for one match, the later counts, as it does for every reader of JSON.
func (r *reader) once() {
	var files []File
	for _, f := range r.egg.Files {
		f.Find = onceEach(f.Find)
		if at := slices.IndexFunc(files, func(o File) bool { return o.Path == f.Path }); at >= 0 {
			r.changed("config.files."+f.Path, "it is there twice: the second one counts")
			files[at] = f
			continue
		}
		files = append(files, f)
	}
	r.egg.Files = files
}

// distinct is the egg with what stands under the same name in it told apart, as
// an object must.
func (e *Egg) distinct() *Egg {
	r := &reader{egg: new(Egg)}
	*r.egg = *e
	r.egg.Images, r.egg.Changes = nil, nil
	for _, i := range e.Images {
		r.addImage(i, "docker_images")
	}
	r.once()
	return r.egg
}

// onceEach puts the values of one match together, at the first one's place: one
// for all, or one for each old value.
func onceEach(all []Find) []Find {
	var matches []string
	of := map[string][]Find{}
	for _, f := range all {
		if _, there := of[f.Match]; !there {
			matches = append(matches, f.Match)
		}
		same := of[f.Match]
		if f.If == "" || len(same) == 1 && same[0].If == "" {
			of[f.Match] = []Find{f}
			continue
		}
		if at := slices.IndexFunc(same, func(o Find) bool { return o.If == f.If }); at >= 0 {
			same[at] = f
			continue
		}
		of[f.Match] = append(same, f)
	}
	var out []Find
	for _, m := range matches {
		out = append(out, of[m]...)
	}
	return out
}
