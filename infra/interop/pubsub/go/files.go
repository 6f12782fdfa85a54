package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A line of the file `events`: bytes are Base64 in JSON.
type eventLine struct {
	Key     *string     `json:"key"`
	Body    []byte      `json:"body"`
	Headers [][2]string `json:"headers"`
}

// A line of the file `marks`: when it was published, in microseconds since 1970.
type markLine struct {
	Time int64 `json:"time"`
}

func writeFiles(folder string, sent sent) error {
	var lines []eventLine
	var marks []markLine
	for n, event := range sent.events {
		line := eventLine{Body: event.body, Headers: [][2]string{}}
		if event.key != "" {
			line.Key = &event.key
		}
		for _, header := range event.headers {
			line.Headers = append(line.Headers, [2]string{header.name, packed(header.value)})
		}
		lines = append(lines, line)
		marks = append(marks, markLine{sent.times[n].UnixMicro()})
	}
	if err := writeLines(filepath.Join(folder, "events"), lines); err != nil {
		return err
	}
	return writeLines(filepath.Join(folder, "marks"), marks)
}

func readFiles(folder string) (sent, error) {
	var sent sent
	lines, err := readLines[eventLine](filepath.Join(folder, "events"))
	if err != nil {
		return sent, err
	}
	marks, err := readLines[markLine](filepath.Join(folder, "marks"))
	if err != nil {
		return sent, err
	}
	if len(lines) != len(marks) {
		return sent, fmt.Errorf("%s: %d events, and %d marks", folder, len(lines), len(marks))
	}
	for n, line := range lines {
		event := event{body: line.Body}
		if line.Key != nil {
			event.key = *line.Key
		}
		for _, pair := range line.Headers {
			value, err := unpacked(pair[1])
			if err != nil {
				return sent, err
			}
			event.headers = append(event.headers, header{pair[0], value})
		}
		sent.events = append(sent.events, event)
		sent.times = append(sent.times, time.UnixMicro(marks[n].Time))
	}
	return sent, nil
}

func packed(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func unpacked(text string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	return string(data), err
}

func writeLines[T any](path string, lines []T) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

func readLines[T any](path string) ([]T, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []T
	decoder := json.NewDecoder(bufio.NewReader(file))
	for decoder.More() {
		var line T
		if err := decoder.Decode(&line); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}
