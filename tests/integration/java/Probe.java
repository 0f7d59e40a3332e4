// SPDX-License-Identifier: Apache-2.0

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.openfeature.contrib.providers.ofrep.OfrepProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProviderOptions;
import dev.openfeature.sdk.Client;
import dev.openfeature.sdk.EvaluationContext;
import dev.openfeature.sdk.FlagEvaluationDetails;
import dev.openfeature.sdk.MutableContext;
import dev.openfeature.sdk.OpenFeatureAPI;
import dev.openfeature.sdk.Value;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Evaluates what standard input asks for with the Java provider of OFREP; one line of JSON for each case.
 *
 * <p>Usage: Probe URL TOKEN &lt; cases.json
 */
public final class Probe {
	private static final ObjectMapper JSON = new ObjectMapper();

	private static EvaluationContext contextOf(JsonNode context) {
		MutableContext made = new MutableContext();
		context.properties().forEach(field -> made.add(field.getKey(), field.getValue().asText()));
		return made;
	}

	private static FlagEvaluationDetails<?> evaluate(Client client, JsonNode row) throws Exception {
		String flag = row.get("flag").asText();
		JsonNode fallback = row.get("default");
		EvaluationContext context = contextOf(row.get("context"));
		switch (row.get("type").asText()) {
			case "boolean":
				return client.getBooleanDetails(flag, fallback.asBoolean(), context);
			case "string":
				return client.getStringDetails(flag, fallback.asText(), context);
			case "integer":
				return client.getIntegerDetails(flag, fallback.asInt(), context);
			case "float":
				return client.getDoubleDetails(flag, fallback.asDouble(), context);
			case "object":
				return client.getObjectDetails(flag, Value.objectToValue(JSON.convertValue(fallback, Map.class)), context);
			default:
				throw new IllegalArgumentException(row.toString());
		}
	}

	private static Object plain(Object value) {
		if (!(value instanceof Value)) {
			return value;
		}
		Value wrapped = (Value) value;
		if (wrapped.isStructure()) {
			Map<String, Object> members = new LinkedHashMap<>();
			wrapped.asStructure().asMap().forEach((key, member) -> members.put(key, plain(member)));
			return members;
		}
		return wrapped.isList() ? wrapped.asList().stream().map(Probe::plain).toArray() : wrapped.asObject();
	}

	public static void main(String[] arguments) throws Exception {
		OfrepProviderOptions options = OfrepProviderOptions.builder()
				.baseUrl(arguments[0])
				.headers(ImmutableMap.of("Authorization", ImmutableList.of("Bearer " + arguments[1])))
				.build();
		OpenFeatureAPI api = OpenFeatureAPI.getInstance();
		api.setProviderAndWait(OfrepProvider.constructProvider(options));
		Client client = api.getClient();
		for (JsonNode row : JSON.readTree(System.in)) {
			FlagEvaluationDetails<?> details = evaluate(client, row);
			Map<String, Object> answer = new LinkedHashMap<>();
			answer.put("name", row.get("name").asText());
			answer.put("value", plain(details.getValue()));
			answer.put("type", details.getValue().getClass().getSimpleName());
			answer.put("variant", details.getVariant());
			answer.put("reason", details.getReason());
			answer.put("errorCode", details.getErrorCode());
			answer.put("errorMessage", details.getErrorMessage());
			answer.put("metadata", details.getFlagMetadata().asUnmodifiableMap());
			System.out.println(JSON.writeValueAsString(answer));
		}
		api.shutdown();
	}
}
