package supervisor

// Program is what runs as the first process of containers; nil in an agent that was
// built without it, see the package's doc.
func Program() []byte {
	program, err := programs.ReadFile(programDir + "/init")
	if err != nil {
		return nil
	}
	return program
}
