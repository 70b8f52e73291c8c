package jetstream

// VetCreate is what the door does to a request to make a consumer.
func VetCreate(data []byte) ([]byte, error) { return vetCreate(data) }

// DoorKey gives the key whose consumer a request is about, nil when it does not pass.
func DoorKey(subject string) (key string, ok bool) {
	name, ok := consumerIn(subject)
	if !ok {
		return "", false
	}
	id, err := keyOf(name)
	return id.String(), err == nil
}
