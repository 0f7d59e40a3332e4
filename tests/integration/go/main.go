// SPDX-License-Identifier: Apache-2.0

// Evaluates what standard input asks for with the Go provider of OFREP; one line of JSON for each case.
//
// Usage: probe URL TOKEN < cases.json
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"
)

type testCase struct {
	Name    string         `json:"name"`
	Type    string         `json:"type"`
	Flag    string         `json:"flag"`
	Default any            `json:"default"`
	Context map[string]any `json:"context"`
}

type answer struct {
	Name         string         `json:"name"`
	Value        any            `json:"value"`
	Type         string         `json:"type"`
	Variant      string         `json:"variant"`
	Reason       string         `json:"reason"`
	ErrorCode    string         `json:"errorCode"`
	ErrorMessage string         `json:"errorMessage"`
	Metadata     map[string]any `json:"metadata"`
}

func evaluate(client *openfeature.Client, c testCase) answer {
	key, _ := c.Context["targetingKey"].(string)
	attributes := map[string]any{}
	for name, value := range c.Context {
		if name != "targetingKey" {
			attributes[name] = value
		}
	}
	where := openfeature.NewEvaluationContext(key, attributes)
	ctx := context.Background()
	var value any
	var details openfeature.EvaluationDetails
	switch c.Type {
	case "boolean":
		got, _ := client.BooleanValueDetails(ctx, c.Flag, c.Default.(bool), where)
		value, details = got.Value, got.EvaluationDetails
	case "string":
		got, _ := client.StringValueDetails(ctx, c.Flag, c.Default.(string), where)
		value, details = got.Value, got.EvaluationDetails
	case "integer":
		got, _ := client.IntValueDetails(ctx, c.Flag, int64(c.Default.(float64)), where)
		value, details = got.Value, got.EvaluationDetails
	case "float":
		got, _ := client.FloatValueDetails(ctx, c.Flag, c.Default.(float64), where)
		value, details = got.Value, got.EvaluationDetails
	case "object":
		got, _ := client.ObjectValueDetails(ctx, c.Flag, c.Default, where)
		value, details = got.Value, got.EvaluationDetails
	default:
		log.Fatalf("no such type: %s", c.Type)
	}
	return answer{
		c.Name, value, fmt.Sprintf("%T", value), details.Variant, string(details.Reason),
		string(details.ErrorCode), details.ErrorMessage, details.FlagMetadata,
	}
}

func main() {
	provider := ofrep.NewProvider(os.Args[1], ofrep.WithBearerToken(os.Args[2]))
	if err := openfeature.SetProviderAndWait(provider); err != nil {
		log.Fatal(err)
	}
	client := openfeature.NewClient("halyard")
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		log.Fatal(err)
	}
	lines := json.NewEncoder(os.Stdout)
	for _, c := range cases {
		if err := lines.Encode(evaluate(client, c)); err != nil {
			log.Fatal(err)
		}
	}
	openfeature.Shutdown()
}
